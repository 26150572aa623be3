"""Disclosure to the person and correction (Act Art. 30-32 to 30-35), at J-LIS and governors."""
