"""CarRacing with gymnasium's physics and rewards, drawn directly at observation size."""
