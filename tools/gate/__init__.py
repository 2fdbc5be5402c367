"""Calibration of the quality gate."""
