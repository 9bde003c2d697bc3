"""Pushes for Huawei (Push Kit)."""
