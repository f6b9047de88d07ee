"""nes-road without an emulator: the same rules and pictures, faster."""
