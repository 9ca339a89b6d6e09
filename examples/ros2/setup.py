from setuptools import setup

setup(
    name="wilor_hands",
    version="0.1.0",
    packages=["wilor_hands"],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/wilor_hands"]),
        ("share/wilor_hands", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    entry_points={"console_scripts": ["hands = wilor_hands.node:main"]},
)
