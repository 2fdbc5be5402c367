"""Feeds the real appliance and breaks it again and again: was anything lost?"""
