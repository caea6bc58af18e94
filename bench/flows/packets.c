// Sends UDP frames of 114 bytes at a rate: packets DEVICE MAC DESTINATION PACKETS FLOWS RATE (0 = as fast as it goes).
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, SIZE = 114 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static unsigned sum(const unsigned char *b) {
  unsigned s = 0;
  for (int i = 0; i < 20; i += 2) s += b[i] << 8 | b[i + 1];
  while (s >> 16) s = (s & 0xffff) + (s >> 16);
  return ~s & 0xffff;
}

// Flow q: source 10.99.<q / 65536>.1, its port the rest of q.
static void aim(unsigned char *b, unsigned q) {
  b[28] = q >> 16, b[34] = q >> 8, b[35] = q, b[24] = b[25] = 0;
  unsigned s = sum(b + 14);
  b[24] = s >> 8, b[25] = s;
}

int main(int count, char **words) {
  if (count != 7) return fprintf(stderr, "packets DEVICE MAC DESTINATION PACKETS FLOWS RATE\n"), 2;
  long packets = atol(words[4]), flows = atol(words[5]), sent = 0;
  double rate = atof(words[6]);
  int s = socket(AF_PACKET, SOCK_RAW, 0);
  struct sockaddr_ll a = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(words[1]), .sll_protocol = htons(0x800)};
  if (s < 0 || bind(s, (void *)&a, sizeof a)) return perror("socket"), 1;
  static unsigned char frames[BATCH][SIZE];
  static struct iovec pieces[BATCH];
  static struct mmsghdr messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    unsigned char *b = frames[i];
    unsigned m[6];
    sscanf(words[2], "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5);
    for (int k = 0; k < 6; k++) b[k] = m[k];
    b[12] = 8, b[14] = 0x45, b[17] = 100, b[22] = 64, b[23] = 17, b[37] = 9, b[39] = 80;
    memcpy(b + 26, "\x0a\x63\0\1", 4);
    inet_pton(AF_INET, words[3], b + 30);
    pieces[i] = (struct iovec){b, SIZE};
    messages[i].msg_hdr.msg_iov = pieces + i;
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  double began = now();
  while (sent < packets) {
    for (int i = 0; i < BATCH; i++) aim(frames[i], (sent + i) % flows);
    int n = sendmmsg(s, messages, packets - sent < BATCH ? packets - sent : BATCH, 0);
    if (n < 0) return perror("send"), 1;
    sent += n;
    while (rate > 0 && (now() - began) * rate < sent) usleep(100);
  }
  printf("%ld %.3f\n", sent, now() - began);
}
