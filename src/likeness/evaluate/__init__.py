"""`likeness evaluate`: photos, saved results, codes or meshes in; a table, `results.json` and `report.html` out.

The numbers come from :mod:`likeness.metrics`; here inputs are read, long runs are cached, and what came out is shown.

    from likeness.evaluate.settings import Recognisability
    from likeness.evaluate.run import evaluate
    print(evaluate(Recognisability(input=Path("photos"), out=Path("out"))).results)
"""
