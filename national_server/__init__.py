"""National server (全国サーバ): verifies, stores, indexes and answers for the whole nation."""
