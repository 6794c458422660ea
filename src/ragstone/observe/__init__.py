"""What a process tells about itself: figures that other processes can add up, and spans of what it does."""
