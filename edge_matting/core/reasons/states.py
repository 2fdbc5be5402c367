"""Each state of the appliance: what happens by itself, and what a person has to do.

``by_itself_STATE`` carries the first reason why it is so, where the sentence has a place for it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "by_itself_starting": {
            "en": "The model is being loaded. Photos dropped now are not lost.",
            "zh": "正在加载模型。现在放入的照片不会丢失。",
        },
        "to_do_starting": {"en": "Nothing to do.", "zh": "无需操作。"},
        "by_itself_working": {"en": "Photos are being processed.", "zh": "正在处理照片。"},
        "to_do_working": {"en": "Nothing to do.", "zh": "无需操作。"},
        "by_itself_idle": {
            "en": "New photos are processed as they come.",
            "zh": "新照片到来时会自动处理。",
        },
        "to_do_idle": {"en": "Drop photos into a hot folder.", "zh": "请把照片放入热文件夹。"},
        "by_itself_paused": {
            "en": "Photos wait until you resume, also after a restart.",
            "zh": "照片会等待，直到您点击继续；重新启动后也是如此。",
        },
        "to_do_paused": {"en": "Resume when work shall go on.", "zh": "需要时请点击继续。"},
        "by_itself_degraded": {
            "en": "Work goes on, more slowly than it could: {reason}.",
            "zh": "仍在工作，但比应有的速度慢：{reason}。",
        },
        "to_do_degraded": {
            "en": "Make the accelerator work again, then restart the service.",
            "zh": "请让加速器恢复工作，然后重新启动服务。",
        },
        "by_itself_recovering": {
            "en": "Temporarily unable to work: {reason}. It resumes by itself.",
            "zh": "暂时无法工作：{reason}。会自动恢复。",
        },
        "to_do_recovering": {"en": "Nothing to do.", "zh": "无需操作。"},
        "by_itself_partly_blocked": {
            "en": "Part of the work waits: {reason}. Everything else goes on.",
            "zh": "部分工作在等待：{reason}。其余照常进行。",
        },
        "to_do_partly_blocked": {
            "en": "Put this right; the waiting part then resumes by itself.",
            "zh": "请解决此问题；等待的部分随后会自动恢复。",
        },
        "by_itself_blocked": {
            "en": "Temporarily unable to work: {reason}. It resumes by itself once this is put "
            "right.",
            "zh": "暂时无法工作：{reason}。问题解决后会自动恢复。",
        },
        "to_do_blocked": {
            "en": "Put this right; waiting photos are kept.",
            "zh": "请解决此问题；等待的照片会保留。",
        },
        "by_itself_not_ready": {
            "en": "Unable to work: {reason}. It tries again by itself.",
            "zh": "无法工作：{reason}。会自动重试。",
        },
        "to_do_not_ready": {
            "en": "Put the model or the runtime right; edge-matting doctor says what is wrong.",
            "zh": "请修复模型或运行库；edge-matting doctor 会指出问题所在。",
        },
        "by_itself_stuck": {
            "en": "No progress: {reason}. Under systemd the service restarts by itself.",
            "zh": "没有进展：{reason}。由 systemd 管理时，服务会自动重新启动。",
        },
        "to_do_stuck": {
            "en": "Restart the service if it stays so, and look at its log.",
            "zh": "如果一直如此，请重新启动服务并查看日志。",
        },
    }
)
