"""traceability"""
