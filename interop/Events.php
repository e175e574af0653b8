<?php
/**
 * A worker that does what its clients ask for: a message `{"call":17,"op":"bindUid","args":[…]}` calls that method of
 * GatewayWorker's Gateway, and the answer goes back to the client as `{"answer":17,…}`.
 *
 * What happens to clients is told to the driver as one UDP datagram per event.
 */
declare(strict_types=1);

use GatewayWorker\BusinessWorker;
use GatewayWorker\Lib\Gateway;
use Workerman\Timer;
use Workerman\Worker;

require_once __DIR__ . '/calls.php';

class Events
{
    /** Seconds between looks at the links to gateways. */
    private const LINKS_PERIOD = 0.02;

    /** Seconds until a handler has ended for certain: timers run between handlers. */
    private const SOON = 0.001;

    private const CHANGES_SESSION = ['writeSession', 'forgetSession'];

    private static int $worker;
    private static mixed $driver;
    private static array $links = [];

    public static function onWorkerStart(BusinessWorker $worker): void
    {
        self::$worker = $worker->id;
        self::$driver = stream_socket_client('udp://' . interop_setting('INTEROP_EVENTS'));
        Timer::add(self::LINKS_PERIOD, static fn () => self::tellLinks($worker));
    }

    public static function onConnect(string $client): void
    {
        self::tell('onConnect', $client);
    }

    public static function onWebSocketConnect(string $client, array $request): void
    {
        self::tell('onWebSocketConnect', $client, ['request' => $request]);
        Gateway::sendToClient($client, 'welcome');
        if (($request['get']['session'] ?? null) !== null) {
            $_SESSION = ['from' => $request['get']['session'], 'ratio' => 0.1];
        }
    }

    public static function onMessage(string $client, string $message): void
    {
        $call = json_decode($message, true);
        if (!is_array($call) || !isset($call['op'])) {
            // A hash, since a datagram may be too small for the message.
            self::tell('onMessage', $client, ['size' => strlen($message), 'sha1' => sha1($message)]);
            return;
        }
        $answer = interop_json(['answer' => $call['call']] + interop_call(self::method($call['op']), $call['args']));
        if (in_array($call['op'], self::CHANGES_SESSION, true)) {
            // What a handler makes of `$_SESSION` is stored when it has ended; the answer must not be there before.
            Timer::add(self::SOON, static fn () => Gateway::sendToClient($client, $answer), [], false);
        } else {
            Gateway::sendToClient($client, $answer);
        }
    }

    public static function onClose(string $client): void
    {
        $online = Gateway::isOnline($client);
        self::tell('onClose', $client, ['isOnline' => $online]);
    }

    public static function onWorkerStop(BusinessWorker $worker): void
    {
        self::tell('onWorkerStop', '');
    }

    /** The API's method, or one of the operations on `$_SESSION`, which is no method. */
    private static function method(string $op): callable
    {
        return match ($op) {
            'readSession' => static fn () => $_SESSION,
            'writeSession' => static function (string $key, mixed $value): void {
                $_SESSION[$key] = $value;
            },
            'forgetSession' => static function (): void {
                $_SESSION = null;
            },
            'server' => static fn () => $_SERVER,
            default => [Gateway::class, $op],
        };
    }

    private static function tell(string $event, string $client, array $more = []): void
    {
        $facts = ['event' => $event, 'worker' => self::$worker, 'client' => $client] + $more;
        if ($client !== '') {
            $facts += ['session' => $_SESSION, 'serialized' => serialize($_SESSION), 'server' => $_SERVER];
        }
        fwrite(self::$driver, interop_json($facts));
    }

    /** The driver waits for links rather than for time to pass. */
    private static function tellLinks(BusinessWorker $worker): void
    {
        $links = [
            'linked' => array_keys($worker->gatewayConnections),
            'listed' => array_values($worker->getAllGatewayAddresses()),
        ];
        if ($links !== self::$links) {
            self::$links = $links;
            self::tell('links', '', $links);
        }
    }
}

/**
 * A worker beside gateways that have workers of their own in them: no client is its, and it calls the API as the driver asks for,
 * over a port of its own.
 */
final class BesideEvents extends Events
{
    public static function onWorkerStart(BusinessWorker $worker): void
    {
        parent::onWorkerStart($worker);
        if ($worker->id !== 0) {
            return;
        }
        $orders = new Worker('text://' . interop_setting('INTEROP_ORDERS'));
        $orders->onMessage = static function ($driver, string $line): void {
            $call = json_decode($line, true);
            $driver->send(interop_json(interop_call([Gateway::class, $call['op']], $call['args'])));
        };
        $orders->listen();
    }

    public static function onConnect(string $client): void
    {
        throw new LogicException("client $client has a worker in its gateway");
    }

    public static function onWebSocketConnect(string $client, array $request): void
    {
        self::onConnect($client);
    }

    public static function onMessage(string $client, string $message): void
    {
        self::onConnect($client);
    }

    public static function onClose(string $client): void
    {
        self::onConnect($client);
    }
}

/** A worker that returns every message, as the app `echo` of ours does. */
final class EchoEvents extends Events
{
    public static function onWebSocketConnect(string $client, array $request): void
    {
    }

    public static function onMessage(string $client, string $message): void
    {
        Gateway::sendToClient($client, $message);
    }
}
