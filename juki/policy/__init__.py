"""Who may ask what: the Act's Appended Tables, the registered bodies, and the decision per call."""
