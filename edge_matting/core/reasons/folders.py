"""Hot folders and disks: what keeps work from being done in them, and how they are watched."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

WORDS: Final = MappingProxyType(
    {
        "folder_gone": {
            "en": "{path} is not there; mount it or make it again",
            "zh": "{path} 不存在；请挂载或重新建立",
        },
        "folder_unreadable": {
            "en": "{path} cannot be read; give the service's user the right to",
            "zh": "{path} 无法读取；请给服务用户读取权限",
        },
        "folder_unwritable": {
            "en": "{path} cannot be written to; it is read-only or belongs to another user",
            "zh": "{path} 无法写入；它是只读的，或属于其他用户",
        },
        "little_space": {
            "en": "{path} has {free} MB free, limits.min_free_mb asks for {asked}; "
            "make room, work goes on by itself",
            "zh": "{path} 剩余 {free} MB，limits.min_free_mb 要求 {asked} MB；"
            "请腾出空间，之后会自动继续",
        },
        "subfolder_unreadable": {
            "en": "{path} cannot be looked into: {why}; what lies there is not taken",
            "zh": "{path} 无法查看：{why}；其中的照片不会被处理",
        },
        "watch_native": {"en": "native events (inotify)", "zh": "系统事件（inotify）"},
        "watch_polling": {
            "en": "polling every {seconds} s: {why}",
            "zh": "每 {seconds} 秒查看一次：{why}",
        },
        "watch_none": {"en": "not watched", "zh": "未监视"},
        "watch_as_set": {"en": "set by intake.watch", "zh": "由 intake.watch 设定"},
        "watch_remote": {
            "en": "{path} is on {kind}, where changes by other machines raise no events",
            "zh": "{path} 位于 {kind}，其他机器的改动不会产生事件",
        },
        "watch_not_started": {"en": "not started", "zh": "尚未开始"},
        "watch_refused": {
            "en": "cannot watch {path}: {why}; {advice}",
            "zh": "无法监视 {path}：{why}；{advice}",
        },
        "watch_silent": {
            "en": "a test file in {path} raised no event",
            "zh": "{path} 中的测试文件没有产生事件",
        },
        "watch_too_deep": {
            "en": "the folders in {path} are too deep to be watched",
            "zh": "{path} 中的文件夹层级过深，无法监视",
        },
        "watch_incomplete": {
            "en": "some sub-folders of {path} are not watched; {advice}",
            "zh": "{path} 的部分子文件夹未被监视；{advice}",
        },
        "raise_watches": {
            "en": "raise the limit (sysctl fs.inotify.max_user_watches=524288) and restart",
            "zh": "请提高上限（sysctl fs.inotify.max_user_watches=524288）并重新启动",
        },
        "raise_instances": {
            "en": "raise the limit (sysctl fs.inotify.max_user_instances=1024) and restart",
            "zh": "请提高上限（sysctl fs.inotify.max_user_instances=1024）并重新启动",
        },
        "set_polling": {
            "en": "set intake.watch to polling if this stays so",
            "zh": "如果一直如此，请把 intake.watch 设为 polling",
        },
    }
)
