"""One photo: why it failed, why its result is doubted, and what to do; by the code of the error.

``hint_CODE`` is what to do next. A review reason's code is the quality gate's.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "not_an_image": {"en": "This file is not an image.", "zh": "这个文件不是图像。"},
        "hint_not_an_image": {
            "en": "open it in a viewer; if it shows there, export it again as JPEG or PNG",
            "zh": "请用看图软件打开；如果能显示，请重新导出为 JPEG 或 PNG",
        },
        "unsupported": {
            "en": "Images of this kind cannot be read here.",
            "zh": "这里不能读取这种图像。",
        },
        "hint_unsupported": {
            "en": "export it as JPEG, PNG, WebP or TIFF",
            "zh": "请导出为 JPEG、PNG、WebP 或 TIFF",
        },
        "too_large": {
            "en": "The image is larger than the limits allow.",
            "zh": "图像超出了限制。",
        },
        "hint_too_large": {
            "en": "raise limits.max_pixels or limits.max_file_mb, or make the picture smaller",
            "zh": "请提高 limits.max_pixels 或 limits.max_file_mb，或缩小图像",
        },
        "too_slow": {
            "en": "Decoding the image takes far too long for its size.",
            "zh": "解码这张图像所需的时间远超其大小。",
        },
        "hint_too_slow": {
            "en": "open it in a viewer and export it again as JPEG or PNG",
            "zh": "请用看图软件打开，并重新导出为 JPEG 或 PNG",
        },
        "source_gone": {
            "en": "The photo was taken away before it could be processed.",
            "zh": "照片在处理之前已被取走。",
        },
        "hint_source_gone": {
            "en": "it was moved or deleted before it could be read; drop it again",
            "zh": "它在读取之前被移走或删除；请重新放入",
        },
        "unfit_parameters": {
            "en": "Its own settings no longer fit the recipe.",
            "zh": "单独设置已不适用于该配方。",
        },
        "hint_unfit_parameters": {
            "en": "the recipe was changed since; send the photo again",
            "zh": "配方已更改；请重新发送照片",
        },
        "unfit_model": {
            "en": "The model asked for is gone or does not fit.",
            "zh": "所选模型已不存在或不适用。",
        },
        "hint_unfit_model": {
            "en": "choose another model or recipe, or add the model",
            "zh": "请选择其他模型或配方，或添加该模型",
        },
        "engine_crashed": {
            "en": "The engine crashed each time it processed this photo alone.",
            "zh": "单独处理这张照片时，引擎每次都崩溃。",
        },
        "hint_engine_crashed": {
            "en": "the file breaks a decoder; export it again and drop the new file",
            "zh": "该文件使解码器崩溃；请重新导出并放入新文件",
        },
        "truncated": {"en": "The file ends too early.", "zh": "文件不完整。"},
        "hint_truncated": {
            "en": "the file ends too early; copy it again",
            "zh": "文件结束得太早；请重新复制",
        },
        "out_of_memory": {
            "en": "Not enough memory for this image.",
            "zh": "内存不足以处理这张图像。",
        },
        "hint_out_of_memory": {
            "en": "lower limits.max_pixels or close other programs",
            "zh": "请降低 limits.max_pixels 或关闭其他程序",
        },
        "gpu_out_of_memory": {
            "en": "The GPU's memory was full; this costs no attempt.",
            "zh": "显存已满；不计入尝试次数。",
        },
        "hint_gpu_out_of_memory": {
            "en": "the plan is lowered; close other programs that use the GPU",
            "zh": "方案已降档；请关闭其他使用 GPU 的程序",
        },
        "inference_failed": {
            "en": "The model failed on this photo.",
            "zh": "模型处理这张照片失败。",
        },
        "internal": {
            "en": "A fault in this program. The log says more.",
            "zh": "本程序出错。详情见日志。",
        },
        "hint_internal": {
            "en": "please report it with the log",
            "zh": "请连同日志一起报告",
        },
        "source_changed": {
            "en": "The original changed while it was read.",
            "zh": "读取时原件发生了变化。",
        },
        "source_unreadable": {"en": "The original cannot be read.", "zh": "无法读取原件。"},
        "hint_source_unreadable": {
            "en": "give the service's user the right to read it",
            "zh": "请给服务用户读取权限",
        },
        "disk_full": {"en": "The disk is full.", "zh": "磁盘已满。"},
        "hint_disk_full": {
            "en": "free some space; work goes on by itself",
            "zh": "请腾出空间；之后会自动继续",
        },
        "folder_unavailable": {
            "en": "A folder is missing or cannot be written to.",
            "zh": "文件夹不存在或无法写入。",
        },
        "hint_folder_unavailable": {
            "en": "mount the folder or correct its rights; work goes on by itself",
            "zh": "请挂载文件夹或更正其权限；之后会自动继续",
        },
        "path_refused": {
            "en": "The file system refuses this file's name, or something is in its way.",
            "zh": "文件系统不接受此文件名，或目标位置已被占用。",
        },
        "hint_path_refused": {
            "en": "rename the file, or move away what is in its way",
            "zh": "请重命名文件，或移走占用该位置的内容",
        },
        "source_grows": {
            "en": "The file is not complete yet; waiting for the rest.",
            "zh": "文件尚未写完，正在等待其余部分。",
        },
        "hint_source_grows": {
            "en": "it is tried again when the rest has come",
            "zh": "其余部分到达后会再次尝试",
        },
        "resources_short": {
            "en": "Too many files are open; it is tried again.",
            "zh": "打开的文件过多，稍后重试。",
        },
        "hint_resources_short": {
            "en": "it is tried again; if it stays so, raise the limit of open files",
            "zh": "会再次尝试；如果一直如此，请提高可打开文件数的上限",
        },
        "job_source_unavailable": {
            "en": "The database could not be read; it is tried again.",
            "zh": "暂时无法读取数据库，稍后重试。",
        },
        "device_lost": {
            "en": "The accelerator stopped answering.",
            "zh": "加速器停止应答。",
        },
        "hint_device_lost": {
            "en": "a new engine is started; if it comes back, check the driver and the card",
            "zh": "正在启动新的引擎；如果再次出现，请检查驱动和显卡",
        },
        # Why the quality gate doubts a result.
        "no_subject": {"en": "No subject was found.", "zh": "没有找到主体。"},
        "uncertain": {
            "en": "The model was unsure of large parts.",
            "zh": "模型对大片区域没有把握。",
        },
        "fragments": {"en": "The cut-out is in pieces.", "zh": "抠图结果是零散的几块。"},
        "holes": {"en": "The cut-out has holes.", "zh": "抠图结果有空洞。"},
        "border_contact": {
            "en": "The cut-out touches the edge of the photo.",
            "zh": "抠图结果碰到照片边缘。",
        },
        "weak_edges": {
            "en": "Its outline follows no edge in the photo.",
            "zh": "轮廓与照片中的边缘不符。",
        },
        "ground_not_found": {
            "en": "The background is not the one that the recipe names.",
            "zh": "背景与配方所述不符。",
        },
        "ground_disagrees": {
            "en": "Background and network disagree on parts of the cut-out.",
            "zh": "背景分析与网络对部分区域判断不一致。",
        },
        "unusual_size": {
            "en": "The cut-out is unusually large or small.",
            "zh": "抠图结果过大或过小。",
        },
        "unstable": {
            "en": "A second pass gave a different result.",
            "zh": "再次处理得到了不同的结果。",
        },
    }
)
