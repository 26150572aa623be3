"""The register of identification information that the prefectural and the national server keep."""
