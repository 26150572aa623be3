"""CS gateway (コミュニケーションサーバ): the bridge between a municipality and the network."""
