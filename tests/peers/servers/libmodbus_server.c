/* Modbus TCP server on libmodbus: holding and input register n hold n, coil n is n mod 3 == 0, input n is n mod 2.
 * Own code; a peer for tests/peers and tests/bench. Usage: libmodbus_server [tcp] PORT (prints "ready" when it listens). */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <unistd.h>

enum { TABLE = 1000 };

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s [tcp] PORT\n", argv[0]);
        return 2;
    }
    modbus_t *bus = modbus_new_tcp("127.0.0.1", atoi(argv[argc - 1]));
    modbus_mapping_t *map = modbus_mapping_new(TABLE, TABLE, TABLE, TABLE);
    if (bus == NULL || map == NULL)
        return 1;
    for (int n = 0; n < TABLE; n++) {
        map->tab_registers[n] = map->tab_input_registers[n] = (uint16_t) n;
        map->tab_bits[n] = n % 3 == 0;
        map->tab_input_bits[n] = n % 2;
    }
    int listener = modbus_tcp_listen(bus, 8);
    if (listener < 0) {
        fprintf(stderr, "%s\n", modbus_strerror(errno));
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    fd_set open_ones;
    FD_ZERO(&open_ones);
    FD_SET(listener, &open_ones);
    int highest = listener;
    for (;;) {
        fd_set ready = open_ones;
        if (select(highest + 1, &ready, NULL, NULL, NULL) < 0)
            return 1;
        for (int fd = 0; fd <= highest; fd++) {
            if (!FD_ISSET(fd, &ready))
                continue;
            if (fd == listener) {
                int client = modbus_tcp_accept(bus, &listener);
                if (client >= 0) {
                    FD_SET(client, &open_ones);
                    if (client > highest)
                        highest = client;
                }
                continue;
            }
            uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
            modbus_set_socket(bus, fd);
            int length = modbus_receive(bus, request);
            if (length > 0) {
                modbus_reply(bus, request, length, map);
            } else if (length < 0) {
                close(fd);
                FD_CLR(fd, &open_ones);
            }
        }
    }
}
