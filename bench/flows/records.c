// Sends IPFIX, 24 records of 3 packets in a datagram: records PORT RECORDS RATE FLOWS.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static unsigned char b[2000];
static int o;
static void p16(int x) { b[o++] = x >> 8, b[o++] = x; }
static void p32(unsigned x) { p16(x >> 16), p16(x & 0xffff); }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int count, char **words) {
  if (count != 5) return fprintf(stderr, "records PORT RECORDS RATE FLOWS\n"), 2;
  // addresses, ports, protocol, TCP flags, packets, bytes, first and last millisecond
  static const int fields[] = {8, 4, 12, 4, 7, 2, 11, 2, 4, 1, 6, 1, 2, 4, 1, 4, 152, 8, 153, 8};
  long records = atol(words[2]), flows = atol(words[4]), sent = 0;
  double rate = atof(words[3]), began = now();
  int s = socket(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (connect(s, (void *)&a, sizeof a)) return perror("connect"), 1;
  while (sent < records) {
    unsigned long ms = time(0) * 1000ul;
    o = 0, p16(10), p16(0), p32(time(0)), p32(sent), p32(0);
    if (sent / 24 % 100 == 0) {
      p16(2), p16(48), p16(256), p16(10);
      for (int i = 0; i < 20; i++) p16(fields[i]);
    }
    p16(256), p16(4 + 24 * 38);
    for (int i = 0; i < 24; i++) {
      p32(0x0a000000 + (sent + i) % flows), p32(0x0a010001), p16(4000), p16(80), b[o++] = 6, b[o++] = 0x12, p32(3), p32(300);
      p32(ms >> 32), p32(ms), p32(ms >> 32), p32(ms);
    }
    b[2] = o >> 8, b[3] = o;
    if (send(s, b, o, 0) < 0) return perror("send"), 1;
    sent += 24;
    while ((now() - began) * rate < sent) usleep(500);
  }
  printf("%ld %.3f\n", sent, now() - began);
}
