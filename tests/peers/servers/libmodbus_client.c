/* Reads as fast as libmodbus can, one request in flight: the yardstick of tests/bench/bench_tcp.py. Own code.
 * Usage: libmodbus_client PORT REGISTERS SECONDS; prints requests, seconds and CPU seconds. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double now_s(void)
{
    struct timespec instant;
    clock_gettime(CLOCK_MONOTONIC, &instant);
    return (double) instant.tv_sec + 1e-9 * (double) instant.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: %s PORT REGISTERS SECONDS\n", argv[0]);
        return 2;
    }
    int count = atoi(argv[2]);
    double seconds = atof(argv[3]);
    modbus_t *bus = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    if (bus == NULL || count < 1 || count > MODBUS_MAX_READ_REGISTERS || modbus_connect(bus) != 0)
        return 1;
    modbus_set_slave(bus, 1);
    uint16_t values[MODBUS_MAX_READ_REGISTERS];
    long requests = 0;
    double begin_s = now_s();
    while (now_s() - begin_s < seconds) {
        if (modbus_read_registers(bus, 0, count, values) != count || values[count - 1] != count - 1)
            return 1;
        requests++;
    }
    double took_s = now_s() - begin_s;
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec)
                 + 1e-6 * (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec);
    printf("%ld %.6f %.6f\n", requests, took_s, cpu_s);
    modbus_close(bus);
    modbus_free(bus);
    return 0;
}
