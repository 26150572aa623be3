"""`juki demo`: the whole network on this machine, played and checked before the newcomer's eyes."""
