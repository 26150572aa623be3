"""What a body that asks (a recipient of provisions) runs on its side."""
