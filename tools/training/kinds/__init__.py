"""Validation sets that resemble the job: goods, groups, small persons. Never trained on."""
