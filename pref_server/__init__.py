"""Prefectural server (都道府県サーバ): verifies, stores and relays notifications."""
