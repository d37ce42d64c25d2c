"""The HTTP front: translate, enqueue, show."""
