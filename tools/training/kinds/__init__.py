"""Validation sets that resemble the job: goods of shops, groups, small persons. Never trained on."""
