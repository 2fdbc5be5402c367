"""Package metadata. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(
    r'__version__ = "([^"]+)"', (HERE / "edge_matting" / "__init__.py").read_text("utf-8")
)
assert VERSION is not None

# Each lower bound is an existing release: `make test-lower` pins them all (tools/lower_bounds.py
# reads them from here) and processes a photo on Python 3.10, as on a Jetson with JetPack 6.
RUNTIME = [
    "numpy>=1.26",
    "opencv-python-headless>=4.10.0.84",
    "pillow>=12.0",
    "isal>=1.7",
    "simplejpeg>=1.8",
    "tifffile>=2024.8.30",
    "psutil>=6.0",
    "nvidia-ml-py>=12.560.30",
    "watchdog>=6.0",
    "flask>=3.1",
    "uvicorn>=0.34",
    "prometheus-client>=0.21",
    "pydantic>=2.10",
    "pyyaml>=6.0.2",
    "tqdm>=4.66",
]

setup(
    name="edge-matting",
    version=VERSION.group(1),
    description="Offline image-matting appliance: photos into a folder, clean cut-outs back",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["edge_matting", "edge_matting.*"]),
    package_data={
        "edge_matting": ["py.typed", "data/config/*", "data/models/*/*", "data/photos/*"],
        "edge_matting.status": ["templates/*", "static/*"],
    },
    install_requires=RUNTIME,
    extras_require={
        # Neither runtime is a base requirement: the CPU and the GPU wheel overwrite each other.
        "cpu": ["onnxruntime>=1.20"],
        "gpu": ["onnxruntime-gpu>=1.20"],
        "torch": ["torch>=2.9"],
        # Readers of rarer pictures; without one, its pictures are refused with the extra's name.
        "heic": ["pillow-heif>=1.1"],
        "tiff": ["imagecodecs>=2024.9.22"],  # 42 MB: too much for boards that never meet them
        "raw": ["rawpy>=0.23"],
        "dev": [
            "imagecodecs>=2024.9.22",
            "pillow-heif>=1.1",
            "rawpy>=0.23",
            "cosmic-ray>=8.4",
            "coverage[toml]>=7.10",
            "hypothesis>=6.115",
            "import-linter>=2.1",
            "mypy>=1.14",
            "pytest>=8.3",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "types-PyYAML",
            "types-psutil",
            "types-tqdm",
            "onnx>=1.17",
            "schemathesis>=4.0",
            "selenium>=4.25",
        ],
    },
    entry_points={"console_scripts": ["edge-matting=edge_matting.cli.main:main"]},
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3 :: Only",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in range(10, 14)),
        "Topic :: Multimedia :: Graphics",
    ],
)
