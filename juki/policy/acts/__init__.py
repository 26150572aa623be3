"""Administrative acts: how bodies, operators, ordinances and their grants are registered."""
