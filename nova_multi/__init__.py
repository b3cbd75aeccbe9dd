"""Docker, LXD and libvirt side by side as ordinary Nova servers."""
