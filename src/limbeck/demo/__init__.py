"""The data that ships with limbeck; see the README in each folder for its licence."""
