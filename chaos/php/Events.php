<?php
/**
 * Does what the clients of scripts/chaos ask for, as the worker in src/bin/worker.rs does, and keeps the same journal. An event
 * has no id here, and nobody gets one again.
 */
declare(strict_types=1);

use GatewayWorker\BusinessWorker;
use GatewayWorker\Lib\Gateway;
use Workerman\Timer;

class ChaosEvents
{
    /** Seconds between looks at the links to gateways. */
    private const LINKS_PERIOD = 0.02;

    /** Seconds that a `wait` takes. The process does something else meanwhile. */
    private const WAIT = 0.05;

    private static mixed $journal;
    private static int $began;

    public static function onWorkerStart(BusinessWorker $worker): void
    {
        // A reload gives the same worker another process.
        self::$journal = fopen(interop_setting('CHAOS_JOURNAL') . '.' . getmypid(), 'xb');
        self::$began = (int) interop_setting('CHAOS_BEGAN');
        $shards = (int) interop_setting('CHAOS_SHARDS');
        $timer = Timer::add(self::LINKS_PERIOD, static function () use ($worker, $shards, &$timer): void {
            if (count($worker->gatewayConnections) >= $shards) {
                fwrite(STDOUT, "chaos-worker ready: \n");
                Timer::del($timer);
            }
        });
    }

    public static function onMessage(string $client, string $message): void
    {
        $request = explode(' ', $message);
        if (count($request) !== 3) {
            return;
        }
        [$kind, $id, $target] = $request;
        self::note('first', $id);
        if ($kind === 'wait') {
            Timer::add(self::WAIT, static fn () => self::finish($client, $id, '0'), [], false);
            return;
        }
        if ($kind === 'group') {
            Gateway::joinGroup($client, "group of $id");
            Gateway::sendToGroup("group of $id", "answer $id 0");
            Gateway::leaveGroup($client, "group of $id");
            self::note('end', $id);
            return;
        }
        self::finish($client, $id, self::handle($kind, $client, $id, $target));
    }

    /** What is answered. */
    private static function handle(string $kind, string $client, string $id, string $target): string
    {
        switch ($kind) {
            case 'hello':
                Gateway::joinGroup($client, $target);
                return $client;
            case 'foreign':
                if ($target !== '-') {
                    Gateway::sendToClient($target, "from $id");
                }
                return '0';
            case 'room':
                Gateway::sendToGroup($target, "from $id", [$client]);
                return '0';
            case 'query':
                try {
                    return (string) Gateway::getAllClientIdCount();
                } catch (Exception) {
                    // A gateway is away. Unheard of, this would end the process.
                    return '0';
                }
            case 'count':
                $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
                return (string) $_SESSION['count'];
            default:
                return '0';
        }
    }

    private static function finish(string $client, string $id, string $value): void
    {
        Gateway::sendToClient($client, "answer $id $value");
        self::note('end', $id);
    }

    private static function note(string $what, string $id): void
    {
        $at = (int) (microtime(true) * 1e6) - self::$began;
        fwrite(self::$journal, "$what $id $at 0\n");
    }
}
