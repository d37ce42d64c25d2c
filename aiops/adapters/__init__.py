"""The walls: each module stands behind one door of `ports`, and none knows another. `app.py` alone knows their names."""
