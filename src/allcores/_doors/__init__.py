"""What people already use, over allcores: thin doors, in a file or a folder each, over one driver in its own thread."""
