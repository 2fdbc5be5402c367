"""Why an action or an upload was refused, and what to do instead."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "no_such_job": {"en": "there is no job {job}", "zh": "没有任务 {job}"},
        "wrong_state": {
            "en": "job {job} is {state}, not {wanted}",
            "zh": "任务 {job} 的状态是 {state}，不是 {wanted}",
        },
        "retryable": {"en": "failed or in review", "zh": "失败或待审核"},
        "acceptable": {"en": "in review", "zh": "待审核"},
        "result_missing": {
            "en": "the result of job {job} is no longer in {folder}",
            "zh": "任务 {job} 的结果已不在 {folder} 中",
        },
        "folder_unknown": {
            "en": "{folder} is no longer in the configuration",
            "zh": "{folder} 已不在配置中",
        },
        "unknown_model": {
            "en": "there is no model {model}; known: {known}",
            "zh": "没有模型 {model}；已知：{known}",
        },
        "uploads_busy": {
            "en": "{n} uploads are open; wait",
            "zh": "已有 {n} 个上传正在进行；请稍候",
        },
        "upload_unknown": {
            "en": "it is finished, given up or unknown",
            "zh": "它已完成、已放弃或未知",
        },
        "upload_part": {
            "en": "{received} of {size} bytes are here; send what follows them",
            "zh": "已收到 {size} 字节中的 {received} 字节；请发送其后的部分",
        },
        "upload_size": {
            "en": "a photo may have 1 byte to {megabytes} MB (limits.max_file_mb)",
            "zh": "照片大小须为 1 字节至 {megabytes} MB（limits.max_file_mb）",
        },
        "upload_space": {
            "en": "not enough free space for this photo",
            "zh": "剩余空间不足以放下这张照片",
        },
        "downloads_busy": {
            "en": "{n} downloads are running; try again when one has ended",
            "zh": "已有 {n} 个下载正在进行；请在其中一个结束后重试",
        },
        "token_wrong": {"en": "this is not the token", "zh": "令牌不正确"},
        "job_outdated": {
            "en": "job {job} is outdated: a newer photo of the same name is job {newest}",
            "zh": "任务 {job} 已过时：同名的新照片是任务 {newest}",
        },
        "hint_job_outdated": {
            "en": "use job {newest}, or drop the old photo again under another name",
            "zh": "请使用任务 {newest}，或以其他名称重新放入旧照片",
        },
        "original_gone": {
            "en": "the original of job {job} is gone",
            "zh": "任务 {job} 的原件已不在",
        },
        "hint_original_gone": {"en": "drop the photo again", "zh": "请重新放入照片"},
        "original_moving": {
            "en": "the original of job {job} is not put away yet",
            "zh": "任务 {job} 的原件尚未归位",
        },
        "hint_original_moving": {"en": "try again in a moment", "zh": "请稍后重试"},
    }
)
