"""defects"""
