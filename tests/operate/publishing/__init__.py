"""Tests of publishing that need no broker."""
