"""Video files: footage to learn from, frames as they are stored, and files that are made. The only door to PyAV."""
