"""How cost grows with what there is more of, and what latency does under load: measured, kept as JSON, drawn as SVG.

python -m benchmarks.curves                     names and what each is
python -m benchmarks.curves journeys customers  measures these into benchmarks/results/ and draws them into docs/performance/
python -m benchmarks.curves --draw              only draws what is kept
"""
