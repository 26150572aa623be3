"""Data shipped with the package: municipalities and the tables of the law (sources: README.md)."""
