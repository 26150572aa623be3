"""Tools for those who develop Juki-Net; nothing here runs on a server."""
