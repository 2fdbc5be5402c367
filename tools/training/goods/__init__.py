"""Goods drawn with exact alpha: thin things, holes, gaps, white on white; cards and shadows under
them are background."""
