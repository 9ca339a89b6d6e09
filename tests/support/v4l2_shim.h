/* A V4L2 camera made of system calls: open, ioctl, mmap and close of the path /dev/video99 are answered
 * here, everything else by the C library. FFmpeg's v4l2 input asks of it what it asks of a driver.
 *
 * Linked into a test, or preloaded (LD_PRELOAD) under a program. The environment says how the camera
 * behaves, read when it is opened; WILOR_FAKE_CAMERA is a list of words with spaces between:
 *   busy        setting the format gives EBUSY, as a second program sees it
 *   open-busy   opening gives EBUSY
 *   forbidden   opening gives EACCES
 *   no-capture  the device captures no video
 *   size=WxH    the driver changes whatever size is asked for to this one
 *   mjpeg       it knows MJPEG only, and gives the picture in WILOR_FAKE_CAMERA_JPEG
 *   rate=N      frames a second; 50
 *   unplug=N    after N frames DQBUF gives ENODEV
 *   stall=N     after N frames nothing comes any more
 *   realtime    stamps are of the wall clock
 * Frames are YUYV; their number stands in the upper edge as in video_clip.h. */
#ifndef WILOR_TEST_V4L2_SHIM_H
#define WILOR_TEST_V4L2_SHIM_H

#define V4L2_SHIM_PATH "/dev/video99"

/* CLOCK_MONOTONIC ns of the stamp on frame n (the newest 256 are known). */
long long v4l2_shim_stamp(int n);
/* Open descriptors and mapped buffers: 0 when the reader has given all back. */
int v4l2_shim_held(void);

#endif
