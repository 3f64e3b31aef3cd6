"""Run inside Blender or with its module bpy: imports the last argument, a GLB file; writes what arrived, as JSON."""

import json
import sys

import bpy

bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=sys.argv[-1])
(head,) = (thing for thing in bpy.data.objects if thing.type == "MESH")
nodes = [node.type for material in head.data.materials for node in material.node_tree.nodes]
keys = head.data.shape_keys.key_blocks if head.data.shape_keys else []
sys.stdout.write(
    "\nSEEN "
    + json.dumps(
        {
            "name": head.name,
            "dimensions": list(head.dimensions),
            "shapes": [key.name for key in keys][1:],
            "weights": [key.value for key in keys][1:],
            "colors": [layer.name for layer in head.data.color_attributes],
            "properties": list(head.keys()),
            "nodes": nodes,
            "actions": [action.name for action in bpy.data.actions],
        }
    )
    + "\n"
)
