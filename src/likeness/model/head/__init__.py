"""Whole heads around a face model's: lids that close, eyes, teeth, tongue, joints (docs/expressions.md)."""

from likeness.model.head.anatomy import has_whole_head
from likeness.model.head.files import head_glb, head_obj_files, write_head_glb
from likeness.model.head.following import following
from likeness.model.head.whole import iris_color, whole_head

__all__ = ["following", "has_whole_head", "head_glb", "head_obj_files", "iris_color", "whole_head", "write_head_glb"]
