"""What tests/bench/run measures: boot, save and resume, clone."""
