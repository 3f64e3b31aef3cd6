"""Run inside Blender: what docs/open_elsewhere.md shows of it.

    blender --background --python docs/tools/blender_picture.py -- HEAD.glb OUT.png

Imports a head as the page says, opens its mouth by a shape key in the second copy, and renders both with Cycles.
"""

import math
import sys

import bpy
import numpy as np

if not hasattr(np, "bool"):
    np.bool = bool  # the importer of Blender 3.4, as Debian 12 has it, asks its newer NumPy for a name that is gone
source, target = sys.argv[-2:]
bpy.ops.wm.read_factory_settings(use_empty=True)
open_mouth = {"jawOpen": 0.7, "browInnerUp": 1.0, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}
for x, shapes in ((-0.12, {}), (0.12, open_mouth)):
    known = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=source)
    for thing in set(bpy.data.objects) - known:
        if thing.parent is None and thing.users_scene:
            thing.location.x += x
        if thing.type == "MESH" and thing.data.shape_keys:
            for key in thing.data.shape_keys.key_blocks[1:]:
                key.value = shapes.get(key.name, 0.0)

scene = bpy.context.scene
for name, place, power in (("key", (-0.6, -0.9, 0.6), 12.0), ("fill", (0.9, -0.7, 0.1), 5.0)):
    light = bpy.data.lights.new(name, "AREA")
    light.energy, light.size = power, 0.6
    lamp = bpy.data.objects.new(name, light)
    lamp.location = place
    lamp.rotation_euler = (math.atan2(math.hypot(place[0], place[1]), place[2]), 0.0, math.atan2(place[0], -place[1]))
    scene.collection.objects.link(lamp)
view = bpy.data.cameras.new("view")
view.lens = 85.0
camera = bpy.data.objects.new("view", view)
camera.location, camera.rotation_euler = (0.0, -1.15, -0.02), (math.radians(90.0), 0.0, 0.0)
scene.collection.objects.link(camera)
scene.camera = camera
scene.world = bpy.data.worlds.new("world")
scene.world.use_nodes = True
scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.35, 0.37, 0.4, 1.0)
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 48, False
scene.render.resolution_x, scene.render.resolution_y = 560, 380
scene.view_settings.view_transform = "Standard"
scene.render.filepath = target
bpy.ops.render.render(write_still=True)
