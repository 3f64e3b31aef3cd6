"""Run inside Blender or with its module bpy: imports the last argument, a GLB file; writes what arrived, as JSON."""

import itertools
import json
import sys

import bpy
import numpy as np

if not hasattr(np, "bool"):
    np.bool = bool  # the importer of Blender 3.4, as Debian 12 has it, asks its newer NumPy for a name that is gone
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[-1])


def told(head):
    keys = head.data.shape_keys.key_blocks if head.data.shape_keys else []
    return {
        "name": head.name,
        "dimensions": list(head.dimensions),
        "shapes": [key.name for key in keys][1:],
        "weights": [key.value for key in keys][1:],
        "colors": [layer.name for layer in head.data.color_attributes],
        "properties": list(head.keys()),
        "materials": [material.name for material in head.data.materials],
        "nodes": [node.type for material in head.data.materials for node in material.node_tree.nodes],
        "groups": [group.name for group in head.vertex_groups],
    }


things = list(bpy.data.objects)
seen = {
    "meshes": [
        told(thing) for thing in things if thing.type == "MESH" and thing.users_scene and len(thing.data.materials)
    ],
    "bones": [bone.name for thing in things if thing.type == "ARMATURE" for bone in thing.data.bones],
    "properties": [*itertools.chain(*(list(thing.keys()) for thing in things if thing.type != "MESH"))],
    "actions": [action.name for action in bpy.data.actions],
}
sys.stdout.write("\nSEEN " + json.dumps(seen) + "\n")
