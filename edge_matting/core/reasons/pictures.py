"""Notes on how a picture was read: what was left out, converted or completed."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "first_picture": {
            "en": "several pictures in one file: the first was taken",
            "zh": "文件中有多张图像：取第一张",
        },
        "gain_map_dropped": {
            "en": "its map for high dynamic range was left out",
            "zh": "未使用其高动态范围映射图",
        },
        "raw_developed": {
            "en": "{kind}, developed with the camera's white balance",
            "zh": "{kind}，按相机白平衡显影",
        },
        "profile_incomplete": {
            "en": "a part of its colour profile is missing: the profile was left out",
            "zh": "颜色配置文件不完整：未使用",
        },
        "profile_broken": {
            "en": "its colour profile is broken and was left out",
            "zh": "颜色配置文件已损坏：未使用",
        },
        "profile_too_long": {
            "en": "its colour profile is longer than 8 MB and was left out",
            "zh": "颜色配置文件超过 8 MB：未使用",
        },
        "profile_unfit": {
            "en": "its colour profile ({space}) does not fit its pixels and was left out",
            "zh": "颜色配置文件（{space}）与像素不符：未使用",
        },
        "profile_added": {
            "en": "its colours are {colours}: the equal profile was added",
            "zh": "其颜色为 {colours}：已添加等效的配置文件",
        },
        "adobe_rgb_by_exif": {
            "en": "its EXIF says Adobe RGB (R03): the equal profile was added",
            "zh": "EXIF 标明为 Adobe RGB (R03)：已添加等效的配置文件",
        },
        "colours_converted": {
            "en": "its colours ({colours}) were converted to sRGB",
            "zh": "其颜色（{colours}）已转换为 sRGB",
        },
        "tone_mapped": {
            "en": "high dynamic range ({curve}, {primaries}) was tone-mapped to sRGB",
            "zh": "高动态范围（{curve}，{primaries}）已色调映射为 sRGB",
        },
        "transfer_unknown": {
            "en": "its transfer characteristic {number} is not known: taken for sRGB",
            "zh": "未知的传递特性 {number}：按 sRGB 处理",
        },
        "part_damaged": {
            "en": "its part {part} is damaged and was left out",
            "zh": "其 {part} 部分已损坏：未使用",
        },
        "part_broken": {
            "en": "its part {part} cannot be used and was left out",
            "zh": "其 {part} 部分无法使用：未使用",
        },
        "end_marker_missing": {
            "en": "its end marker is missing; all of its pixels are there",
            "zh": "缺少结束标记；像素完整",
        },
        "bits_reduced": {
            "en": "of its {bits} bits a sample 8 were read",
            "zh": "每个样本 {bits} 位，只读取了 8 位",
        },
        "channels_dropped": {
            "en": "channels that are neither colour nor transparency were left out",
            "zh": "既非颜色也非透明度的通道未使用",
        },
        "samples_not_numbers": {
            "en": "samples that are no numbers were taken for 0",
            "zh": "非数值的样本按 0 处理",
        },
        "samples_spread": {
            "en": "its samples from {low} to {high} were spread over the whole range",
            "zh": "样本值 {low} 到 {high} 已扩展到整个范围",
        },
    }
)
