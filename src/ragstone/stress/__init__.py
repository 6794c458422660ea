"""Fault tests that ship with the product: processes killed, power cut, disks that fail, many writers, long runs."""
